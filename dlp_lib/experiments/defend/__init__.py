"""``python -m dlp_lib defend``: a defence on a folder of one's own images, and what it found."""
