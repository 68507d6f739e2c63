"""image-reflector-controller and image-automation-controller: tags of images, and commits that follow them."""
