// What a channel keeps of its recordings, as its form has it.
import type { Retention, RetentionInput } from './api/types'

const gigabyte = 1_000_000_000

export interface RetentionFields {
  byAge: boolean
  /** null while the field is empty. */
  days: number | null
  bySize: boolean
  gigabytes: number | null
}

/** What the form begins with: limits that are off suggest something sensible. */
export function fieldsOf(kept: Retention): RetentionFields {
  return {
    byAge: kept.keepDays > 0,
    days: kept.keepDays || 90,
    bySize: kept.keepBytes > 0,
    gigabytes: kept.keepBytes > 0 ? kept.keepBytes / gigabyte : Math.max(10, Math.ceil(kept.bytes / gigabyte)),
  }
}

/** What is sent; 0 is no limit. */
export function inputOf(fields: RetentionFields): RetentionInput {
  return {
    keepDays: fields.byAge ? (fields.days ?? 0) : 0,
    keepBytes: fields.bySize ? Math.round((fields.gigabytes ?? 0) * gigabyte) : 0,
  }
}

/** What is wrong with the fields that count. */
export function problemsOf(fields: RetentionFields): { days?: string; gigabytes?: string } {
  const problems: { days?: string; gigabytes?: string } = {}
  if (fields.byAge && !(Number.isInteger(fields.days) && fields.days! >= 1 && fields.days! <= 36_500)) {
    problems.days = 'A whole number of days, from 1 to 36,500.'
  }
  if (fields.bySize && !(fields.gigabytes !== null && fields.gigabytes >= 0.001 && fields.gigabytes <= 1_000_000)) {
    problems.gigabytes = 'A number of gigabytes, from 0.001 to 1,000,000.'
  }
  return problems
}
