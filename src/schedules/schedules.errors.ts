/** The errors of schedules, a part of the table in `errors.ts`. */
import type { ErrorEntry } from '../error.entry.js';

export const SCHEDULE_ERRORS = {
  schedule_not_found: {
    status: 404,
    title: 'No such schedule',
    retryable: false,
    cause: 'No schedule has this id.',
    fix: 'List the schedules of a wallet with GET /v1/schedules?wallet_id=….',
  },
  schedule_ended: {
    status: 409,
    title: 'The schedule has ended',
    retryable: false,
    cause: 'The schedule is completed or cancelled, and stays so.',
    fix: 'Make a new schedule.',
  },
  schedule_not_active: {
    status: 409,
    title: 'The schedule is paused already',
    retryable: false,
    cause: 'Only an active schedule can be paused.',
    fix: 'Nothing is to be done: the schedule posts nothing until it is resumed.',
  },
  schedule_not_paused: {
    status: 409,
    title: 'The schedule is not paused',
    retryable: false,
    cause: 'Only a paused schedule can be resumed.',
    fix: 'Nothing is to be done: the schedule is active.',
  },
  too_many_schedules: {
    status: 409,
    title: 'Too many schedules',
    retryable: false,
    cause: 'A person may have 100 schedules that are active or paused for each wallet.',
    fix: 'Cancel those that are not needed.',
  },
} as const satisfies Record<string, ErrorEntry>;
