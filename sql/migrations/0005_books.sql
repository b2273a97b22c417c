-- Books that can be checked: the audit log is a chain, the deny list's numbers have no gaps, and cash belongs to shifts.

-- The hash of an audit row: over the hash before it and everything that the row says.
CREATE FUNCTION audit_hash(a audit) RETURNS bytea LANGUAGE sql STABLE RETURN
    sha256(a.prev_hash || convert_to(jsonb_build_array(
        a.seq, extract(epoch FROM a.at)::text, a.subject, a.action, a.object, a.details)::text, 'UTF8'));

-- Rows are numbered and chained one after the other, in the order in which they are committed: the lock is held until
-- then. The number that the column would have given is taken back.
CREATE FUNCTION chain_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last audit;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('takt audit', 0));
    SELECT * INTO last FROM audit ORDER BY seq DESC LIMIT 1;
    new.seq := coalesce(last.seq, 0) + 1;
    new.prev_hash := coalesce(last.hash, decode(repeat('00', 32), 'hex'));
    new.hash := audit_hash(new);
    RETURN new;
END
$$;

ALTER TABLE audit DISABLE TRIGGER audit_append_only;
DO $$
DECLARE
    this audit;
    before bytea := decode(repeat('00', 32), 'hex');
BEGIN
    FOR this IN SELECT * FROM audit ORDER BY seq LOOP
        this.prev_hash := before;
        before := audit_hash(this);
        UPDATE audit SET prev_hash = this.prev_hash, hash = before WHERE seq = this.seq;
    END LOOP;
END
$$;
ALTER TABLE audit ENABLE TRIGGER audit_append_only;
ALTER TABLE audit ALTER COLUMN prev_hash SET NOT NULL, ALTER COLUMN hash SET NOT NULL;
CREATE TRIGGER audit_chained BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION chain_audit();

-- Whoever asks for what came after a number must not miss a row that was numbered before it and committed after it.
CREATE FUNCTION number_deny_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('takt deny list', 0));
    new.seq := coalesce((SELECT max(seq) FROM deny_entry), 0) + 1;
    RETURN new;
END
$$;
CREATE TRIGGER deny_entry_numbered BEFORE INSERT ON deny_entry FOR EACH ROW EXECUTE FUNCTION number_deny_entry();

-- A cashier's shift: the cash in the drawer at its start, what the ledger says that there must be, and what was counted.
CREATE TABLE shift (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    float_minor bigint NOT NULL CHECK (float_minor >= 0),
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    expected_minor bigint,
    counted_minor bigint CHECK (counted_minor >= 0),
    CHECK ((closed_at IS NULL) = (expected_minor IS NULL) AND (closed_at IS NULL) = (counted_minor IS NULL))
);
CREATE UNIQUE INDEX shift_open ON shift (subject) WHERE closed_at IS NULL;

-- No foreign key: its check would be made for every fare, and fares have no shift.
ALTER TABLE transfer ADD COLUMN shift_id bigint;
CREATE INDEX transfer_shift_id ON transfer (shift_id) WHERE shift_id IS NOT NULL;
ALTER TABLE transfer DROP CONSTRAINT transfer_kind_check,
    ADD CONSTRAINT transfer_kind_check CHECK (kind IN ('sale', 'refund', 'top_up', 'fare', 'difference'));
