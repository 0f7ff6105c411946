//! The day of operating, against the real server.
