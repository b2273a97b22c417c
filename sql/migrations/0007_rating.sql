-- An account's service day is rated anew from its taps: what changed is posted, and why is kept for its receipt.

-- A tariff as it was when it came into use: a day that it rated is rated again by the same one.
CREATE TABLE tariff_edition (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version integer NOT NULL,                           -- as the file says
    digest bytea NOT NULL UNIQUE,
    file text NOT NULL,
    content text NOT NULL,
    feed bytea,                                         -- the feed's fare files, packed; null where it has none
    used_from timestamptz NOT NULL DEFAULT now()
);

-- rating has a line for each tap with its reasons, and what the next day needs; taps are those that it was made from.
CREATE TABLE day_rating (
    account text COLLATE "C" NOT NULL,                  -- card:<uid hex> or bank:<id>
    service_date date NOT NULL,
    version integer NOT NULL,                           -- rises each time that the day is rated again
    tariff_id integer NOT NULL REFERENCES tariff_edition (id),
    total_minor bigint NOT NULL,
    rating jsonb NOT NULL,
    taps jsonb NOT NULL,
    receipt_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),  -- whoever has it may read the receipt
    rated_at timestamptz NOT NULL DEFAULT now(),
    again_at timestamptz,                               -- somebody is still inside: without an exit by then it costs more
    PRIMARY KEY (account, service_date)
);
CREATE INDEX day_rating_again_at ON day_rating (again_at) WHERE again_at IS NOT NULL;

-- What rides cost that the purse could not pay any more, since they were told of late; equals its transfers as the purse
-- does. category: the holder's, by its id in the tariff.
ALTER TABLE card
    ADD COLUMN debt_minor bigint NOT NULL DEFAULT 0 CHECK (debt_minor >= 0),
    ADD COLUMN category text;

-- When the status last changed: a ticket that was taken back today covered the rides of yesterday.
ALTER TABLE ticket ADD COLUMN status_at timestamptz;

-- rated: account/day/version/number of what a rating posted, so that nothing is posted twice.
ALTER TABLE transfer
    ADD COLUMN rated text COLLATE "C",
    DROP CONSTRAINT transfer_kind_check,
    ADD CONSTRAINT transfer_kind_check CHECK (kind IN (
        'sale', 'refund', 'top_up', 'fare', 'difference', 'reversal', 'debt', 'penalty', 'penalty_payment'));
CREATE UNIQUE INDEX transfer_rated ON transfer (rated) WHERE rated IS NOT NULL;
