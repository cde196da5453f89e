"""One report of bundles: speed, memory, accuracy and what was kept of it, as JSON, Markdown and one HTML file."""
