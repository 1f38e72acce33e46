"""The training data: random Characters staged, drawn and captioned; shards on disk; or a person's own folder of pictures."""
