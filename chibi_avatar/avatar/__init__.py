"""The 3D avatar: base mesh, rig, paint, raster, guides, bake, glTF and VRM."""
