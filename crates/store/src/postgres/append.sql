-- Version 2: a commit is a function, so that a session plans its statements once, not for each commit.
-- A version that appends otherwise brings a function of another name: older releases go on calling this one.
-- Locks the head, compares it, and where it is the expected one writes everything and moves it; written_at is null
-- where it is not. A commit under way elsewhere makes this one wait, and then compare with what it left, and
-- see it: volatile, and in a transaction that is read committed, each statement of a function looks anew.
-- nths are which of the entries wrote a document, counted from 1.
CREATE FUNCTION flux_resourceset.append(
    now bigint, expected_store uuid, expected_fence bigint, expected_revision bigint, expected_entry uuid,
    reader bigint, known_schema bigint,
    entries uuid[], principals text[], reasons text[], request_ids text[], min_readers bigint[],
    operation_counts bigint[], document_counts bigint[], shown text[], operations text[],
    version_types text[], version_ids text[], version_nths bigint[], version_places bigint[], version_bodies bytea[],
    gone_types text[], gone_ids text[],
    current_types text[], current_ids text[], current_nths bigint[]
) RETURNS TABLE (
    in_recovery boolean, store uuid, min_reader bigint, schema_floor bigint, fence bigint, begins bigint,
    revision bigint, entry uuid, written_at bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    last_at bigint;
    due bigint;
BEGIN
    -- What the server was told of durability is overruled for this transaction, if it was that a commit need not wait.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    SELECT pg_is_in_recovery(), meta.store, meta.min_reader, meta.schema_floor, meta.fence, meta.begins,
        meta.revision, meta.entry, meta.at
    INTO in_recovery, store, min_reader, schema_floor, fence, begins, revision, entry, last_at
    FROM flux_resourceset.meta FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF store = expected_store AND fence = expected_fence AND revision = expected_revision
        AND entry = expected_entry AND min_reader <= reader AND schema_floor <= known_schema
    THEN
        due := revision;
        written_at := greatest(last_at, now);
        INSERT INTO flux_resourceset.entries (revision, entry, at, principal, reason, request_id, min_reader,
            operation_count, document_count, shown, operations)
        SELECT due + it.nth, it.entry, written_at, it.principal, it.reason, it.request_id, it.min_reader,
            it.operation_count, it.document_count, it.shown, it.operations
        FROM unnest(entries, principals, reasons, request_ids, min_readers, operation_counts, document_counts,
            shown, operations) WITH ORDINALITY AS it (entry, principal, reason, request_id, min_reader,
            operation_count, document_count, shown, operations, nth);
        INSERT INTO flux_resourceset.versions (type, id, revision, place, body)
        SELECT it.type, it.id, due + it.nth, it.place, it.body
        FROM unnest(version_types, version_ids, version_nths, version_places, version_bodies)
            AS it (type, id, nth, place, body);
        IF cardinality(gone_ids) > 0 THEN
            DELETE FROM flux_resourceset.documents USING unnest(gone_types, gone_ids) AS it (type, id)
            WHERE documents.type = it.type AND documents.id = it.id;
        END IF;
        INSERT INTO flux_resourceset.documents (type, id, revision)
        SELECT it.type, it.id, due + it.nth
        FROM unnest(current_types, current_ids, current_nths) AS it (type, id, nth)
        ON CONFLICT (type, id) DO UPDATE SET revision = excluded.revision;
        UPDATE flux_resourceset.meta SET revision = due + cardinality(entries), entry = entries[cardinality(entries)],
            at = written_at,
            min_reader = greatest(meta.min_reader, (SELECT max(one) FROM unnest(min_readers) AS one));
        PERFORM pg_notify('flux_resourceset', '');
    END IF;
    RETURN NEXT;
END
$$;
