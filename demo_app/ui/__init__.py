"""What is seen: Kivy widgets over the parts of demo_app that need no window."""
