-- name: AddEvent :execrows
INSERT INTO archive_events (id, at, source, detail_type, about, size, body)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING;

-- name: AddToTotals :exec
UPDATE archive_totals SET events = events + sqlc.arg(events), size = size + sqlc.arg(size) WHERE id = 1;

-- name: Totals :one
SELECT events, size FROM archive_totals WHERE id = 1;

-- name: OldestAt :many
SELECT at FROM archive_events ORDER BY at, id LIMIT 1;

-- name: Event :one
SELECT * FROM archive_events WHERE id = $1;

-- name: Newer :many
-- A part of the archive from a place on, the oldest first. The range of times
-- stands by itself, so that an index finds the place.
SELECT * FROM archive_events
WHERE at >= sqlc.arg(after_at) AND at < sqlc.arg(to_at) AND (at > sqlc.arg(after_at) OR id > sqlc.arg(after_id))
ORDER BY at, id LIMIT sqlc.arg(row_count);

-- name: Older :many
-- A part of the archive from a place back to a floor, the newest first, sorted
-- out by source and type; "" is any.
SELECT * FROM archive_events
WHERE at <= sqlc.arg(before_at) AND at >= sqlc.arg(floor_at)
    AND (at < sqlc.arg(before_at) OR id < sqlc.arg(before_id)) AND (at > sqlc.arg(floor_at) OR id >= sqlc.arg(floor_id))
    AND (source = sqlc.arg(source) OR sqlc.arg(source) = '') AND (detail_type = sqlc.arg(detail_type) OR sqlc.arg(detail_type) = '')
ORDER BY at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: Floor :many
-- The place so many events back, none when there are not as many.
SELECT at, id FROM archive_events
WHERE at <= sqlc.arg(before_at) AND at >= sqlc.arg(from_at) AND (at < sqlc.arg(before_at) OR id < sqlc.arg(before_id))
ORDER BY at DESC, id DESC LIMIT 1 OFFSET sqlc.arg(skipped);

-- name: OlderAbout :many
-- Older of one video, stream or channel.
SELECT * FROM archive_events
WHERE about = sqlc.arg(about) AND at <= sqlc.arg(before_at) AND at >= sqlc.arg(from_at)
    AND (at < sqlc.arg(before_at) OR id < sqlc.arg(before_id))
    AND (source = sqlc.arg(source) OR sqlc.arg(source) = '') AND (detail_type = sqlc.arg(detail_type) OR sqlc.arg(detail_type) = '')
ORDER BY at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: CountTypes :many
-- How many of each type there are among the newest ones of a range.
SELECT counted.source, counted.detail_type, count(*) AS events FROM (
    SELECT e.source, e.detail_type FROM archive_events e
    WHERE e.at >= sqlc.arg(from_at) AND e.at < sqlc.arg(to_at) ORDER BY e.at DESC, e.id DESC LIMIT sqlc.arg(most)
) AS counted GROUP BY counted.source, counted.detail_type ORDER BY counted.source, counted.detail_type;

-- name: CountRange :one
SELECT count(*) FROM archive_events WHERE at >= sqlc.arg(from_at) AND at < sqlc.arg(to_at);

-- name: DeleteOld :many
-- Deletes the oldest ones from before a time and returns the size of each.
DELETE FROM archive_events WHERE archive_events.id IN (
    SELECT e.id FROM archive_events e WHERE e.at < sqlc.arg(before_at) ORDER BY e.at, e.id LIMIT sqlc.arg(row_count))
RETURNING size;

-- name: AddReplay :exec
INSERT INTO archive_replays (id, rule_id, rule_name, pattern, from_at, to_at, state, reason, cursor_at, cursor_id,
    events, looked_at, matched, queued, withdrawn, created_by, created_at, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, 'running', '', $5, '', $7, 0, 0, 0, 0, $8, $9, 0);

-- name: CountRunning :one
SELECT count(*) FROM archive_replays WHERE state = 'running';

-- name: RunningReplays :many
SELECT * FROM archive_replays WHERE state = 'running' ORDER BY created_at, id;

-- name: Replay :one
SELECT * FROM archive_replays WHERE id = $1;

-- name: ListReplays :many
SELECT * FROM archive_replays
WHERE created_at < sqlc.arg(at) OR created_at = sqlc.arg(at) AND id < sqlc.arg(last_id)
ORDER BY created_at DESC, id DESC LIMIT sqlc.arg(row_count);

-- name: Advance :execrows
-- Moves a replay on. No row: it does not run any more, or somebody else has moved
-- it meanwhile.
UPDATE archive_replays SET cursor_at = sqlc.arg(cursor_at), cursor_id = sqlc.arg(cursor_id), looked_at = looked_at + sqlc.arg(looked_at),
    matched = matched + sqlc.arg(matched), state = sqlc.arg(state), reason = sqlc.arg(reason), ended_at = sqlc.arg(ended_at)
WHERE id = sqlc.arg(id) AND state = 'running' AND cursor_at = sqlc.arg(old_at) AND cursor_id = sqlc.arg(old_id);

-- name: NoteQueued :exec
UPDATE archive_replays SET queued = queued + sqlc.arg(queued) WHERE id = sqlc.arg(id);

-- name: NoteReason :exec
-- Why a replay waits.
UPDATE archive_replays SET reason = sqlc.arg(reason) WHERE id = sqlc.arg(id) AND state = 'running' AND reason <> sqlc.arg(reason);

-- name: EndReplay :execrows
UPDATE archive_replays SET state = sqlc.arg(state), reason = sqlc.arg(reason), ended_at = sqlc.arg(ended_at)
WHERE id = sqlc.arg(id) AND state = 'running';

-- name: NoteWithdrawn :exec
UPDATE archive_replays SET withdrawn = sqlc.arg(withdrawn) WHERE id = sqlc.arg(id);

-- name: PruneReplays :exec
DELETE FROM archive_replays WHERE state <> 'running' AND ended_at < sqlc.arg(before_at);
