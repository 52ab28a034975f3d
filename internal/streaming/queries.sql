-- name: InsertStream :exec
INSERT INTO streams (id, channel, node, epoch, state, prefix, recorded, started_at, ended_at, duration_ms, reason)
VALUES ($1, $2, $3, $4, 'live', $5, FALSE, $6, 0, 0, '');

-- name: MarkRecorded :execrows
-- Counts once: when the first segment is stored.
UPDATE streams SET recorded = TRUE WHERE id = $1 AND recorded = FALSE;

-- name: EndStream :execrows
-- Counts once. The recording ends later.
UPDATE streams SET state = 'storing', ended_at = $1, reason = $2 WHERE id = $3 AND state = 'live';

-- name: EndRecording :execrows
-- Counts once: when all of it is stored, or given up.
UPDATE streams SET state = 'ended', duration_ms = $1 WHERE id = $2 AND state = 'storing';

-- name: RemoveStream :exec
DELETE FROM streams WHERE id = $1;

-- name: RemoveEndedOf :exec
-- The streams of a channel that is closed.
DELETE FROM streams WHERE channel = $1 AND state = 'ended';

-- name: AllStreams :many
SELECT id, channel, prefix, state, recorded, ended_at FROM streams
WHERE id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(row_count);

-- name: Stream :one
SELECT * FROM streams WHERE id = $1;

-- name: UnfinishedStreams :many
SELECT * FROM streams WHERE node = $1 AND state IN ('live', 'storing') ORDER BY started_at;

-- name: SetEpoch :exec
-- Another process goes on with the stream.
UPDATE streams SET epoch = $1 WHERE id = $2;

-- name: NewestStream :one
-- By the order of ids, which is that of time unless the clock went back.
SELECT id FROM streams WHERE channel = $1 ORDER BY id DESC LIMIT 1;
