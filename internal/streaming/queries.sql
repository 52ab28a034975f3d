-- name: InsertStream :exec
INSERT INTO streams (id, channel, node, epoch, state, prefix, recorded, started_at, ended_at, duration_ms, reason)
VALUES ($1, $2, $3, $4, 'live', $5, FALSE, $6, 0, 0, '');

-- name: MarkRecorded :execrows
-- Counts once: when the first segment is stored.
UPDATE streams SET recorded = TRUE WHERE id = $1 AND recorded = FALSE;

-- name: EndStream :execrows
-- Counts once.
UPDATE streams SET state = 'ended', ended_at = $1, duration_ms = $2, reason = $3 WHERE id = $4 AND state = 'live';

-- name: RemoveStream :exec
UPDATE streams SET state = 'deleted' WHERE id = $1;

-- name: Stream :one
SELECT * FROM streams WHERE id = $1;

-- name: UnfinishedStreams :many
SELECT * FROM streams WHERE node = $1 AND state = 'live' ORDER BY started_at;

-- name: SetEpoch :exec
-- Another process goes on with the stream.
UPDATE streams SET epoch = $1 WHERE id = $2;
