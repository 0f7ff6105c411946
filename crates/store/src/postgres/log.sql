-- Version 1: the log, what it adds up to, and a history that can be cut.
-- Every release reads the columns of meta before anything else: no later version may rename them.
-- schema_floor is the lowest schema version whose releases may go on using the store; min_reader is the
-- same for what the documents hold. revision, entry and at are the end of the log: a commit locks this
-- row, compares and moves it. A commit that names an older fence than this one writes nothing.
CREATE TABLE flux_resourceset.meta (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    store uuid NOT NULL,
    schema_version bigint NOT NULL,
    schema_floor bigint NOT NULL,
    min_reader bigint NOT NULL,
    fence bigint NOT NULL,
    -- The first revision whose state can be read. Of the entries up to it remain those that wrote a
    -- version which is still needed, and its own; without their operations, and not part of the log.
    begins bigint NOT NULL,
    revision bigint NOT NULL,
    entry uuid NOT NULL,
    at bigint NOT NULL
) WITH (fillfactor = 10);

-- shown is what a list shows of the operations: the first 20 without their bodies.
CREATE TABLE flux_resourceset.entries (
    revision bigint PRIMARY KEY,
    entry uuid NOT NULL UNIQUE,
    at bigint NOT NULL,
    principal text NOT NULL,
    reason text,
    request_id text NOT NULL,
    min_reader bigint NOT NULL,
    operation_count bigint NOT NULL,
    document_count bigint NOT NULL,
    shown text NOT NULL,
    operations text NOT NULL
);

CREATE INDEX entries_by_time ON flux_resourceset.entries (at, revision);
CREATE INDEX entries_by_principal ON flux_resourceset.entries (principal, revision);

-- Every body that a document ever had; a deleted document's is NULL. place is the document's place
-- in its change set.
CREATE TABLE flux_resourceset.versions (
    type text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL REFERENCES flux_resourceset.entries (revision),
    place bigint NOT NULL,
    body bytea,
    PRIMARY KEY (type, id, revision)
);

CREATE INDEX versions_by_entry ON flux_resourceset.versions (revision, type, id);
CREATE INDEX versions_by_type ON flux_resourceset.versions (type, revision);

-- Which version of a document is the current one.
CREATE TABLE flux_resourceset.documents (
    type text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (type, id),
    FOREIGN KEY (type, id, revision) REFERENCES flux_resourceset.versions (type, id, revision)
);
