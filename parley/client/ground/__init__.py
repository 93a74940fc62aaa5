"""What all the rest stands on: safe text and its width, the terminal, what is kept between runs."""
