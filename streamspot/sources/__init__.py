"""Where frames come from: cameras, files, addresses, folders of images, standard input, a synthetic clip."""
