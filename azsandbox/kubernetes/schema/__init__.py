"""What the types of the API are, and how bodies are read against them."""
