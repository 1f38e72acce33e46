"""Who is in the photo: faces, attributes, references, and the adapters that carry a likeness into a picture."""
