-- name: AddJob :exec
INSERT INTO postprocess_jobs (id, channel, prefix, duration_ms, state, reason, created_at, updated_at)
VALUES ($1, $2, $3, $4, 'waiting', '', $5, $6)
ON CONFLICT (id) DO NOTHING;

-- name: SetState :exec
-- News of an earlier attempt changes nothing.
UPDATE postprocess_jobs SET state = $1, reason = $2, updated_at = $3 WHERE id = $4 AND attempt = $5;

-- name: SetMedia :exec
UPDATE postprocess_jobs SET codecs = $1, media_ms = $2, width = $3, height = $4, frames = $5, size = $6 WHERE id = $7;

-- name: BeginAgain :many
-- One row, or none when the job has not failed.
UPDATE postprocess_jobs SET state = 'waiting', reason = '', attempt = attempt + 1, updated_at = $1
WHERE id = $2 AND state = 'failed'
RETURNING *;

-- name: UnfinishedJobs :many
-- The oldest first, from after the given one on.
SELECT * FROM postprocess_jobs
WHERE state IN ('waiting', 'processing')
    AND (created_at > sqlc.arg(after_created) OR created_at = sqlc.arg(after_created) AND id > sqlc.arg(after_id))
ORDER BY created_at, id LIMIT sqlc.arg(row_count);

-- name: GetJob :one
SELECT * FROM postprocess_jobs WHERE id = $1;

-- name: SimulatedJobs :many
SELECT id FROM postprocess_jobs WHERE id LIKE 'sim-%' ORDER BY id;

-- name: RemoveJob :exec
DELETE FROM postprocess_jobs WHERE id = $1;

-- name: JobIDs :many
SELECT id FROM postprocess_jobs WHERE id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(row_count);

-- name: HasJob :one
SELECT EXISTS (SELECT 1 FROM postprocess_jobs WHERE id = $1);

-- name: MakeAnew :execrows
UPDATE postprocess_jobs SET state = 'waiting', reason = '', attempt = attempt + 1, updated_at = $1
WHERE id = $2 AND state IN ('done', 'failed');
