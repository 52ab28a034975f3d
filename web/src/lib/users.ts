// Words about users, as admins see them.

import type { ManagedUser, Role } from './api/types'
import { count } from './format'

/** Longest reason of a suspension, in characters, as the API has it. */
export const longestReason = 500

/** The roles that say something: everybody may watch. */
export function rolesOf(user: Pick<ManagedUser, 'roles'>): Role[] {
  const more = user.roles.filter((role) => role !== 'viewer')
  return more.length > 0 ? more : ['viewer']
}

/** What a suspension means to somebody. */
export function suspensionOf({ roles }: Pick<ManagedUser, 'roles'>): string {
  const all = 'They are signed out everywhere and cannot sign in until you let them in again.'
  return roles.includes('broadcaster') ? `${all} Their broadcast ends at once. What they published stays.` : all
}

/** What goes with an account. */
export function lossOf({ roles, email }: Pick<ManagedUser, 'roles' | 'email'>): string {
  if (!roles.includes('broadcaster')) return `The account of ${email} is deleted.`
  return `The account of ${email} is deleted with its channel and all its videos. A broadcast that runs ends at once.`
}

/** Whether what was typed is the user's name or address. */
export function confirms(typed: string, { username, email }: Pick<ManagedUser, 'username' | 'email'>): boolean {
  return [username, email].some((name) => name.toLowerCase() === typed.trim().toLowerCase())
}

/** What is read out of a search. */
export function foundText(n: number, more: boolean): string {
  if (n === 0) return 'No user is like that.'
  if (more) return `The newest ${count(n)} users.`
  return n === 1 ? '1 user.' : `${count(n)} users.`
}
