-- Tickets, cards, taps, the ledger and what stands around them.

-- In the order of precedence: of the verdicts that apply, least() is the one that wins (contract, section 3).
CREATE TYPE verdict AS ENUM (
    'malformed', 'unknown_key', 'bad_signature', 'stale_proof', 'replayed', 'unknown', 'not_yet_valid', 'expired',
    'revoked', 'suspended', 'denied', 'wrong_service', 'used_up', 'passback', 'insufficient_funds', 'accepted'
);

-- A city card. balance_minor is the purse: the card's row is locked by its own taps alone, so it is no hot row, and it
-- equals the sum of the purse's transfers (each changes in the same statement as its transfer; a test and the doctor compare).
CREATE TABLE card (
    uid bytea PRIMARY KEY CHECK (length(uid) = 7),
    key_version integer NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'revoked')),
    counter integer NOT NULL DEFAULT -1,                -- the highest read counter seen: online it must rise
    balance_minor bigint NOT NULL DEFAULT 0 CHECK (balance_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    last_used_at timestamptz,
    last_place text,                                    -- operator/vehicle
    last_tap uuid,
    enrolled_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- A ticket holds what was promised when it was sold: a later tariff changes nothing about it.
CREATE TABLE ticket (
    id uuid PRIMARY KEY,
    product_id text NOT NULL,
    card_uid bytea REFERENCES card (uid),               -- null: shown as QR code
    status text NOT NULL DEFAULT 'valid' CHECK (status IN ('valid', 'suspended', 'revoked')),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,                   -- half-open: no longer valid at this instant
    uses_allowed integer CHECK (uses_allowed > 0),      -- null: a pass
    uses integer NOT NULL DEFAULT 0,
    networks text[] NOT NULL,
    passback interval NOT NULL,
    status_list integer NOT NULL,
    status_index integer NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    device_key jsonb,
    sold_by text NOT NULL,
    sold_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    last_place text,
    last_tap uuid,
    reason text,                                        -- of the last revoke, suspend, resume or refund
    CHECK (valid_from < valid_until),
    CHECK (uses <= uses_allowed),
    UNIQUE (status_list, status_index)
) WITH (fillfactor = 70);
CREATE INDEX ticket_card_uid ON ticket (card_uid) WHERE card_uid IS NOT NULL;

-- Half of a list's indices are given out, at random, before the next list is begun.
CREATE SEQUENCE status_slot;

CREATE TABLE tap (
    operator text COLLATE "C" NOT NULL,
    device text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    boot text NOT NULL,
    seq bigint NOT NULL,
    taken_at timestamptz NOT NULL,                      -- by the device's clock
    received_at timestamptz NOT NULL,                   -- by ours
    medium text NOT NULL,
    ticket_id uuid,
    card_uid bytea,
    card_counter integer,
    vehicle text,
    stop_id text,
    lat double precision,
    lon double precision,
    offline_verdict text,
    rules_version integer,
    content_hash bytea NOT NULL,
    verdict verdict NOT NULL,
    reason text,
    until_at timestamptz,
    charged_minor bigint,
    currency text,
    conflict boolean NOT NULL DEFAULT false,            -- accepted offline, and we would have refused
    conflict_with uuid,                                 -- the earlier tap that it conflicts with
    clock_off boolean NOT NULL DEFAULT false,           -- the device's clock was far from ours
    PRIMARY KEY (operator, device, id)
);
CREATE INDEX tap_received_at ON tap USING brin (received_at);

-- A card's counter is good for one tap, wherever and whenever it comes from.
CREATE TABLE card_use (
    card_uid bytea NOT NULL,
    counter integer NOT NULL,
    tap_id uuid NOT NULL,
    PRIMARY KEY (card_uid, counter)
);

-- Which numbers of a validator's boot have been answered; through is what its cumulative receipt says.
CREATE TABLE validator_progress (
    operator text COLLATE "C" NOT NULL,
    device text COLLATE "C" NOT NULL,
    boot text COLLATE "C" NOT NULL,
    answered int8multirange NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operator, device, boot)
) WITH (fillfactor = 70);

-- Double entry, append only. Accounts: cash, sales, fares, purse:<uid>; their balances are sums, never stored.
CREATE TABLE transfer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL CHECK (kind IN ('sale', 'refund', 'top_up', 'fare')),
    debit text NOT NULL,
    credit text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    ticket_id uuid,
    card_uid bytea,
    tap_id uuid,
    reverses bigint UNIQUE,
    made_by text NOT NULL,
    CHECK (debit <> credit)
);
CREATE INDEX transfer_ticket_id ON transfer (ticket_id) WHERE ticket_id IS NOT NULL;
CREATE INDEX transfer_card_uid ON transfer (card_uid) WHERE card_uid IS NOT NULL;

-- Media refused everywhere, by rising number, so that validators fetch what is new. removed: allowed again.
CREATE TABLE deny_entry (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('ticket', 'card', 'bank')),
    medium bytea NOT NULL,
    removed boolean NOT NULL DEFAULT false,
    reason text NOT NULL,
    tap_id uuid,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deny_entry_medium ON deny_entry (medium, seq);

-- What somebody tried. The same attempt again only counts: a flood of it stays one row.
CREATE TABLE security_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    operator text NOT NULL,
    device text NOT NULL,
    subject text NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    times bigint NOT NULL DEFAULT 1,
    UNIQUE (kind, operator, device, subject)
);

CREATE TABLE dead_letter (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operator text NOT NULL,
    device text NOT NULL,
    topic text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    payload bytea NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX dead_letter_device ON dead_letter (operator, device, received_at);

-- How many dead letters a device has had on a day (UTC): beyond its quota they are counted and not kept.
CREATE TABLE dead_letter_count (
    operator text NOT NULL,
    device text NOT NULL,
    day date NOT NULL,
    kept bigint NOT NULL,
    dropped bigint NOT NULL,
    PRIMARY KEY (operator, device, day)
);

-- Who did what. prev_hash and hash are for chaining the rows.
CREATE TABLE audit (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    subject text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    prev_hash bytea,
    hash bytea
);

-- The answer to a request that sells or charges, under the key that its client gave it.
CREATE TABLE idempotency (
    subject text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    answer bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, key)
);
CREATE INDEX idempotency_at ON idempotency USING brin (at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append only: write a reversal, never change what was', tg_table_name
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER transfer_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
