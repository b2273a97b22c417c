-- City cards that are topped up by themselves from a bank card when their purse runs low.

-- What a card's holder has agreed to. No trigger and no index stands on card for it: a tap pays nothing for this.
CREATE TABLE auto_top_up (
    card_uid bytea PRIMARY KEY REFERENCES card (uid),
    method_token text NOT NULL,                         -- the acquirer's, in letters
    threshold_minor bigint NOT NULL CHECK (threshold_minor > 0),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    max_per_day integer NOT NULL CHECK (max_per_day > 0),
    state text NOT NULL DEFAULT 'on' CHECK (state IN ('on', 'paused')),
    reason text,                                        -- why it is paused
    set_at timestamptz NOT NULL,
    last_at timestamptz,                                -- when it last put money on the card
    look_at timestamptz                                 -- not looked at before; null: whenever its turn comes
);

-- One top-up, written down before the acquirer is asked; its id is the key that is asked under.
CREATE TABLE auto_top_up_order (
    id text COLLATE "C" PRIMARY KEY,
    card_uid bytea NOT NULL REFERENCES card (uid),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL CHECK (length(currency) = 3 AND currency COLLATE "C" BETWEEN 'AAA' AND 'ZZZ'),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'declined')),
    reason text,
    made_at timestamptz NOT NULL,
    done_at timestamptz
);
CREATE INDEX auto_top_up_order_card_uid ON auto_top_up_order (card_uid, made_at);
-- A card waits for one answer at a time.
CREATE UNIQUE INDEX auto_top_up_order_open ON auto_top_up_order (card_uid) WHERE state = 'open';

ALTER TABLE payment ADD COLUMN top_up_id text COLLATE "C" REFERENCES auto_top_up_order (id);
CREATE INDEX payment_top_up_id ON payment (top_up_id) WHERE top_up_id IS NOT NULL;
