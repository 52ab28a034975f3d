-- name: InsertUser :exec
INSERT INTO users (id, email, username, password_hash, created_at)
VALUES ($1, $2, $3, $4, $5);

-- name: UserByEmail :one
SELECT * FROM users WHERE email = $1;

-- name: UserByID :one
SELECT * FROM users WHERE id = $1;

-- name: LockUser :one
-- Locks the user until the transaction ends.
UPDATE users SET id = id WHERE id = $1 RETURNING *;

-- name: ListUsers :many
-- A page of users, the newest first, with a row for each of their roles.
SELECT u.id, u.email, u.username, u.created_at, u.suspended_at, u.suspended_why, r.role
FROM users u
JOIN user_roles r ON r.user_id = u.id
WHERE u.id IN (
    SELECT p.id FROM users p
    WHERE (p.email LIKE CAST(sqlc.arg(words) AS TEXT) ESCAPE '\' OR p.username LIKE CAST(sqlc.arg(words) AS TEXT) ESCAPE '\')
        AND p.suspended_at >= sqlc.arg(suspended_from)
        AND p.created_at <= sqlc.arg(at) AND (p.created_at < sqlc.arg(at) OR p.id < sqlc.arg(last_id))
    ORDER BY p.created_at DESC, p.id DESC LIMIT sqlc.arg(row_count))
ORDER BY u.created_at DESC, u.id DESC, r.role;

-- name: SetSuspended :exec
UPDATE users SET suspended_at = $1, suspended_why = $2 WHERE id = $3;

-- name: DeleteUser :exec
DELETE FROM users WHERE id = $1;

-- name: DeleteRolesOf :exec
DELETE FROM user_roles WHERE user_id = $1;

-- name: DeleteMailsTo :exec
DELETE FROM mails WHERE recipient = $1;

-- name: UsernameTaken :one
SELECT EXISTS (SELECT 1 FROM users WHERE username = $1);

-- name: SetPassword :exec
UPDATE users SET password_hash = $1 WHERE id = $2;

-- name: InsertRole :execrows
INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: RolesOf :many
SELECT role FROM user_roles WHERE user_id = $1 ORDER BY role;

-- name: RoleExists :one
SELECT EXISTS (SELECT 1 FROM user_roles WHERE role = $1);

-- name: InsertSession :exec
INSERT INTO sessions (token_hash, user_id, created_at, seen_at, expires_at)
VALUES ($1, $2, $3, $4, $5);

-- name: SessionUser :many
SELECT u.id, u.email, u.username, r.role, s.seen_at
FROM sessions s
JOIN users u ON u.id = s.user_id
JOIN user_roles r ON r.user_id = u.id
WHERE s.token_hash = $1 AND s.expires_at > $2 AND u.suspended_at = 0
ORDER BY r.role;

-- name: TouchSession :exec
UPDATE sessions SET seen_at = $1, expires_at = $2 WHERE token_hash = $3;

-- name: DeleteSession :exec
DELETE FROM sessions WHERE token_hash = $1;

-- name: DeleteSessionsOf :exec
DELETE FROM sessions WHERE user_id = $1;

-- name: DeleteExpiredSessions :execrows
DELETE FROM sessions WHERE expires_at <= $1;

-- name: InsertLink :exec
INSERT INTO links (token_hash, kind, email, username, password_hash, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: Link :one
SELECT token_hash, kind, email, username, password_hash, created_at, expires_at
FROM links WHERE token_hash = $1 AND kind = $2 AND expires_at > $3;

-- name: DeleteLinksOf :exec
DELETE FROM links WHERE kind = $1 AND email = $2;

-- name: DeleteLinksOfKind :exec
DELETE FROM links WHERE kind = $1;

-- name: DeleteExpiredLinks :execrows
DELETE FROM links WHERE expires_at <= $1;

-- name: InsertMail :exec
INSERT INTO mails (id, recipient, subject, sealed, status, attempts, problem, created_at, due_at)
VALUES ($1, $2, $3, $4, $5, 0, '', $6, $7);

-- name: DueMails :many
SELECT id, recipient, subject, sealed, attempts, due_at
FROM mails WHERE status = 'queued' AND due_at <= $1
ORDER BY due_at, id LIMIT $2;

-- name: ClaimMail :execrows
UPDATE mails SET due_at = $1 WHERE id = $2 AND status = 'queued' AND due_at = $3;

-- name: SetMail :exec
UPDATE mails SET status = $1, sealed = $2, attempts = $3, problem = $4, due_at = $5
WHERE id = $6;

-- name: ListMails :many
SELECT id, recipient, subject, sealed, status, attempts, problem, created_at, due_at
FROM mails
WHERE created_at < $1 OR (created_at = $1 AND id < $2)
ORDER BY created_at DESC, id DESC
LIMIT $3;

-- name: DeleteOldMails :execrows
DELETE FROM mails WHERE created_at <= $1;
