"""What each check says of itself, in English and Chinese; one file a family."""
