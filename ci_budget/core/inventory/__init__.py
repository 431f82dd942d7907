"""What is kept of an image to compare later, when the image itself is gone."""
