-- Settlements: what a business day came to, by operator, product and route, made anew from taps and transfers at any time.

-- A version is written when the day is settled first, and again only when it has come out otherwise: a booking that was
-- under way at midnight, say. The hash is over the document, which says nothing of when it was made.
CREATE TABLE settlement (
    day date NOT NULL,
    version integer NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    made_by text NOT NULL,
    hash bytea NOT NULL,
    document jsonb NOT NULL,
    PRIMARY KEY (day, version)
);
CREATE TRIGGER settlement_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Transfers come in the order of their times: finding a day's needs no more than this.
CREATE INDEX transfer_at ON transfer USING brin (at);
