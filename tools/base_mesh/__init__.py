"""Development-time builder of the chibi base mesh: lofts with designed UV, written to chibi_avatar/avatar/data/base.npz."""
