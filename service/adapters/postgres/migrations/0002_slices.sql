-- Ranks, positions and slices, as functions: a slice then takes one round trip, and since a STABLE function
-- sees what the statement sees that calls it, all it reads is of one revision.
--
-- The planner is held to the index on (lot, position): without statistics of a lot, or with those of others, it
-- may prefer to fetch a whole lot and sort it. It would plan anew each time to find that out, and compile what
-- it takes for expensive, which takes longer than all the rest.

-- The position of the live record with a rank; behind the last one, some position behind it.
CREATE FUNCTION aerolite.position_at(lot_ bigint, rank_ bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    size_ integer;
    segment_ bigint;
    gone_ bigint;
    gone_before bigint;
    origin bigint := 0;          -- the position at which the search goes on
    rest bigint := rank_;        -- the rank among the records from there on
    until_ bigint := 9223372036854775807;
BEGIN
    FOREACH size_ IN ARRAY ARRAY[65536, 256] LOOP
        -- The last segment with holes that begins at or before the rank.
        SELECT segment, gone, before INTO segment_, gone_, gone_before
        FROM (
            SELECT segment, gone, sum(gone) OVER (ORDER BY segment) - gone AS before
            FROM aerolite.holes
            WHERE lot = lot_ AND size = size_ AND segment >= origin / size_ AND segment < until_ / size_
        ) AS counted
        WHERE segment * size_ - origin - before <= rest
        ORDER BY segment DESC LIMIT 1;
        IF NOT FOUND THEN
            RETURN origin + rest;
        END IF;
        IF rest - (segment_ * size_ - origin - gone_before) >= size_ - gone_ THEN
            RETURN origin + rest + gone_before + gone_;
        END IF;
        rest := rest - (segment_ * size_ - origin - gone_before);
        origin := segment_ * size_;
        until_ := origin + size_;
    END LOOP;
    RETURN (
        SELECT position FROM aerolite.records
        WHERE lot = lot_ AND position >= origin
        ORDER BY position OFFSET rest LIMIT 1
    );
END
$$;

-- How many live records stand before a position, which is at most the next one to be used.
CREATE FUNCTION aerolite.rank_of(lot_ bigint, position_ bigint) RETURNS bigint
LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
    SELECT position_ - position_ % 256
        - (SELECT coalesce(sum(gone), 0) FROM aerolite.holes
           WHERE lot = lot_ AND size = 65536 AND segment < position_ / 65536)
        - (SELECT coalesce(sum(gone), 0) FROM aerolite.holes
           WHERE lot = lot_ AND size = 256
             AND segment >= position_ / 65536 * 256 AND segment < position_ / 256)
        + (SELECT count(*) FROM aerolite.records
           WHERE lot = lot_ AND position >= position_ - position_ % 256 AND position < position_)
$$;

-- At most `limit_` records, and of more than one at most `max_bytes` (null: no bound), from a rank or behind
-- a position. `count_` and `next_` are the dataset's; where they are equal, rank and position are.
CREATE FUNCTION aerolite.slice(
    lot_ bigint, count_ bigint, next_ bigint,
    rank_ bigint, after_ bigint, limit_ bigint, max_bytes bigint,
    OUT start bigint, OUT positions bigint[], OUT records bytea[]
)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    from_ bigint;
BEGIN
    IF after_ IS NOT NULL THEN
        from_ := greatest(0, least(after_, next_ - 1) + 1);
        start := CASE WHEN count_ = next_ THEN from_ ELSE aerolite.rank_of(lot_, from_) END;
    ELSE
        start := rank_;
        from_ := CASE WHEN rank_ >= count_ THEN next_ WHEN count_ = next_ THEN rank_
                      ELSE aerolite.position_at(lot_, rank_) END;
    END IF;
    IF max_bytes IS NULL THEN
        SELECT array_agg(position), array_agg(record) INTO positions, records
        FROM (
            SELECT position, record FROM aerolite.records
            WHERE lot = lot_ AND position >= from_ ORDER BY position LIMIT limit_
        ) AS found;
    ELSE
        SELECT array_agg(position), array_agg(record) INTO positions, records
        FROM (
            SELECT position, record, sum(octet_length(record)) OVER (ORDER BY position) AS through
            FROM (
                SELECT position, record FROM aerolite.records
                WHERE lot = lot_ AND position >= from_ ORDER BY position LIMIT limit_
            ) AS found
        ) AS measured
        WHERE through <= max_bytes OR through = octet_length(record);
    END IF;
    positions := coalesce(positions, '{}');
    records := coalesce(records, '{}');
END
$$;
