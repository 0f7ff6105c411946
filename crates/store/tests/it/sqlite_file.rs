//! What is SQLite's own: files that are not ours, damage, locks, side files, and files that move.
