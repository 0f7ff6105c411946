-- Version 1: the log and what it adds up to.
-- Every release reads store, min_reader and schema_floor from meta before anything else: no later
-- version may rename them. schema_floor is the lowest schema version whose releases may go on using
-- the file; min_reader is the same for what the documents hold.
CREATE TABLE meta (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    store TEXT NOT NULL,
    min_reader INTEGER NOT NULL,
    schema_floor INTEGER NOT NULL
) STRICT;

CREATE TABLE entries (
    revision INTEGER PRIMARY KEY,
    entry TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    principal TEXT NOT NULL,
    reason TEXT,
    request_id TEXT NOT NULL,
    operations TEXT NOT NULL,
    min_reader INTEGER NOT NULL
) STRICT;

-- Every body that a document ever had; a deleted document's is NULL. place is the document's place
-- in its change set.
CREATE TABLE versions (
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL REFERENCES entries (revision),
    place INTEGER NOT NULL,
    body BLOB,
    UNIQUE (type, id, revision),
    UNIQUE (revision, place)
) STRICT;

-- Which version of a document is the current one.
CREATE TABLE documents (
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (type, id),
    FOREIGN KEY (type, id, revision) REFERENCES versions (type, id, revision)
) STRICT, WITHOUT ROWID;
