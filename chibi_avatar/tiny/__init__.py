"""The embedded model: a chibi text-to-image model that this repository renders data for, trains and ships.

``data`` draws captioned pictures of random Characters; ``networks`` holds the architectures; ``training`` trains them, each run resumable;
``weights`` stores what ships. Everything that samples is loaded by ``nodes/tiny.py`` into ComfyUI's own classes.
"""
