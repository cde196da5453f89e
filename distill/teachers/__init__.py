"""Who else tells the student what a record shows, besides the data's own labels."""
