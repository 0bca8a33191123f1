"""The UNets of Stable Diffusion, image and video, and what is changed inside them."""
