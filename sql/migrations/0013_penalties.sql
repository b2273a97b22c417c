-- Penalties: issued by a controller, paid there or at a desk, or taken back; what is owed stands in the ledger.
CREATE TABLE penalty (
    id uuid PRIMARY KEY,
    reference text NOT NULL UNIQUE,                     -- what stands on the paper: eight letters
    issued_at timestamptz NOT NULL,
    issued_by text NOT NULL,
    operator text NOT NULL,
    vehicle text,
    route_id text,
    reason text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paid', 'cancelled')),
    closed_at timestamptz,
    closed_by text,
    note text,
    CHECK ((state = 'open') = (closed_at IS NULL))
);
CREATE INDEX penalty_open ON penalty (issued_at) WHERE state = 'open';
