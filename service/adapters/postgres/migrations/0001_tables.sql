-- What a dataset is: one row for each name ever used. The row outlives a deletion, since revisions and
-- schema versions go on counting; its `lot`, which says where the records are, is 0 then. All commits to a dataset are put in order by a lock on its row.
CREATE TABLE aerolite.datasets (
    name text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 0,
    schema_version bigint NOT NULL DEFAULT 0,
    lot bigint NOT NULL DEFAULT 0,
    generation bigint NOT NULL DEFAULT 0,
    count bigint NOT NULL DEFAULT 0,
    next_position bigint NOT NULL DEFAULT 0,
    edits bigint NOT NULL DEFAULT 0,
    size_bytes bigint NOT NULL DEFAULT 0,
    created timestamptz,
    updated timestamptz,
    schema bytea
) WITH (fillfactor = 70);

CREATE SEQUENCE aerolite.lots;

-- The records of all datasets, each generation a lot. One table and no partitions: to create, attach and drop
-- a partition locks the parent against everybody, and a thousand small datasets would be five thousand files.
-- A retired lot is deleted in small steps instead, which locks nobody out.
CREATE TABLE aerolite.records (
    lot bigint NOT NULL,
    position bigint NOT NULL,
    key bytea,
    record bytea NOT NULL,
    PRIMARY KEY (lot, position)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

-- `key` is a digest: an index entry holds at most 2,704 bytes, a key may have millions.
CREATE UNIQUE INDEX records_key ON aerolite.records (lot, key) WHERE key IS NOT NULL;

-- How many positions are gone in each segment of `size` positions (service/adapters/ranks.py); none is no row.
CREATE TABLE aerolite.holes (
    lot bigint NOT NULL,
    size integer NOT NULL,
    segment bigint NOT NULL,
    gone integer NOT NULL,
    PRIMARY KEY (lot, size, segment)
);

-- Lots that no dataset has any more; `swept` is the position up to which their records are deleted.
CREATE TABLE aerolite.retired (
    lot bigint PRIMARY KEY,
    since timestamptz NOT NULL,
    positions bigint NOT NULL,
    swept bigint NOT NULL DEFAULT 0
);

CREATE TABLE aerolite.remembered (
    name text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    outcome bytea NOT NULL,
    expires timestamptz NOT NULL,
    PRIMARY KEY (name, key)
);
CREATE INDEX remembered_expires ON aerolite.remembered (expires);

-- Bodies are JSON text as bytes: `jsonb` would put members into another order.
CREATE TABLE aerolite.documents (
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    tag text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    body bytea NOT NULL,
    expires timestamptz,
    PRIMARY KEY (kind, id)
) WITH (fillfactor = 70);
CREATE INDEX documents_tag ON aerolite.documents (kind, tag, id);
CREATE INDEX documents_expires ON aerolite.documents (expires) WHERE expires IS NOT NULL;
