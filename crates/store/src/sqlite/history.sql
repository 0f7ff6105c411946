-- Version 2: a history that is light to list and can be cut.
-- A release that knows only version 1 may go on using the file as long as nothing was forgotten: it
-- writes entries without a summary, and those are read from the entry itself. Forgetting raises
-- schema_floor.

-- The first revision whose state can be read. Of the entries up to it remain those that wrote a
-- version which is still needed, and its own; without their operations, and not part of the log.
ALTER TABLE meta ADD COLUMN begins INTEGER NOT NULL DEFAULT 0;

-- What a list shows of an entry's operations: the first 20 without their bodies, and how many there
-- are. Apart from entries, since a row is read from its beginning on.
CREATE TABLE summaries (
    revision INTEGER PRIMARY KEY REFERENCES entries (revision),
    operations TEXT NOT NULL,
    operation_count INTEGER NOT NULL
) STRICT;

INSERT INTO summaries
SELECT revision,
       (SELECT json_group_array(json_remove(value, '$.body'))
        FROM (SELECT value FROM json_each(operations) WHERE key < 20 ORDER BY key)),
       json_array_length(operations)
FROM entries WHERE json_valid(operations);

CREATE INDEX entries_by_time ON entries (at);
CREATE INDEX entries_by_principal ON entries (principal);
CREATE INDEX versions_by_entry ON versions (revision, type, id);
CREATE INDEX versions_by_type ON versions (type, revision);
