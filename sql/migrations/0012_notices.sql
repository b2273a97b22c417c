-- Notices: what dispatchers tell passengers. Each change is a row of its own, with who and when.
CREATE TABLE notice (
    id text NOT NULL,
    version integer NOT NULL,
    at timestamptz NOT NULL,
    by_whom text NOT NULL,
    what text NOT NULL CHECK (what IN ('created', 'closed')),
    notice jsonb NOT NULL,
    until_at timestamptz,
    closed_at timestamptz,
    PRIMARY KEY (id, version)
);
CREATE TRIGGER notice_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON notice
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
