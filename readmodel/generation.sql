-- The tables of one generation. {schema} is replaced by export_g<N>, {compression}
-- by lz4 where the server has it: twice the rows a second of the default pglz.

CREATE SCHEMA {schema};

-- One row an account that was heard of. Sections are JSON ready to send; of the
-- long ones the row holds the live tail, items joined by commas. No index but
-- the primary key and that of tombstones, so that updates stay in place (HOT).
--
-- Of a row that replaces another one on its page, the server logs what lies between
-- the first byte that differs and the last. So columns come in the order of how often
-- they change, and what every message changes stands beside the section that most
-- messages change, of which most change its beginning or its end.
CREATE TABLE {schema}.account_export (
    account_id     uuid PRIMARY KEY,
    partition      integer NOT NULL,
    version_minor  integer NOT NULL,          -- of the projection version that folded it
    erased_at      timestamptz,               -- a tombstone: no section is set
    quota_tier_id  text,                      -- that the team names
    user_json      bytea COMPRESSION {compression},
    team_json      bytea COMPRESSION {compression},
    keys_tail      bytea COMPRESSION {compression},
    usage_low      text COLLATE "C" NOT NULL, -- lowest usage day that belongs in the tail
    usage_tail     bytea COMPRESSION {compression},
    usage_pages    integer NOT NULL,          -- sealed pages, by section
    key_pages      integer NOT NULL,
    sandbox_pages  integer NOT NULL,
    waiting        integer NOT NULL,          -- entities that events wait for
    parked         integer NOT NULL,          -- messages that are parked
    dismissed      integer NOT NULL DEFAULT 0, -- those of them that no longer count
    position       bigint NOT NULL,           -- of the account's last consumed message
    -- What went into the row and what is stored of it, as of counted_at; at
    -- another position of the row they say nothing.
    counted_at     bigint,
    messages       bigint,                    -- that were consumed for the account, whatever their outcome
    digest_high    bigint,                    -- see projections.Digest
    digest_low     bigint,
    sandboxes_tail bytea COMPRESSION {compression}
) WITH (fillfactor = 45, toast_tuple_target = 4080);

-- Erased accounts, for the ledger. No update changes the columns that it covers.
CREATE INDEX account_export_erased ON {schema}.account_export (account_id) WHERE erased_at IS NOT NULL;

-- Older items of long sections: section 1 quota_usage, 2 api_keys, 3 sandboxes.
-- page_key orders the pages of a section.
CREATE TABLE {schema}.account_export_pages (
    account_id uuid NOT NULL,
    section    smallint NOT NULL,
    page_key   text COLLATE "C" NOT NULL,
    body       bytea COMPRESSION {compression} NOT NULL,
    PRIMARY KEY (account_id, section, page_key)
) WITH (fillfactor = 90);

-- Which page a key or sandbox is in. (Usage days are found by the pages' order.)
CREATE TABLE {schema}.account_export_items (
    account_id uuid NOT NULL,
    section    smallint NOT NULL,
    item       text COLLATE "C" NOT NULL,
    page_key   text COLLATE "C" NOT NULL,
    PRIMARY KEY (account_id, section, item)
);

-- What deferred events will change in an entity once it is created:
-- entity 1 user, 2 team, 3 api key, 4 sandbox.
CREATE TABLE {schema}.account_waiting (
    account_id uuid NOT NULL,
    entity     smallint NOT NULL,
    entity_id  text COLLATE "C" NOT NULL,
    patch      bytea COMPRESSION {compression} NOT NULL,
    PRIMARY KEY (account_id, entity, entity_id)
);

CREATE TABLE {schema}.quota_tiers (
    id        text COLLATE "C" PRIMARY KEY,
    partition integer NOT NULL,
    position  bigint NOT NULL,                -- of the definition in force
    body      bytea NOT NULL                  -- JSON ready to send
) WITH (fillfactor = 70);

CREATE TABLE {schema}.parked (
    position   bigint PRIMARY KEY,
    partition  integer NOT NULL,
    account_id uuid,                          -- where the subject names one
    sent_at    timestamptz NOT NULL,          -- the stream's own timestamp
    subject    text NOT NULL,                 -- as published
    type       text NOT NULL,                 -- where it could be read
    reason     text NOT NULL,
    headers    bytea COMPRESSION {compression} NOT NULL, -- Name: value lines
    payload    bytea COMPRESSION {compression} NOT NULL
);

CREATE INDEX parked_account ON {schema}.parked (account_id, position);

-- For counting them every few seconds without reading them: a million take 7 MB here, and
-- most of a gigabyte in the table.
CREATE INDEX parked_partition ON {schema}.parked (partition);

GRANT USAGE ON SCHEMA {schema} TO accountexport_reader;
GRANT SELECT ON {schema}.account_export, {schema}.account_export_pages, {schema}.quota_tiers TO accountexport_reader;

-- Copies of pages for those who read them compressed, see migration 016.
SELECT export.add_segments('{schema}');
