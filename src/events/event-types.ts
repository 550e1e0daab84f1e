/** What can happen, by name. A name never changes its meaning; new ones may come. */
export const EVENT_TYPES = {
  'transaction.posted': 'money moved: `data` is the transaction',
  'hold.created': 'money was set aside: `data` is the hold',
  'hold.changed': 'a hold was raised, lowered or extended',
  'hold.captured': 'money of a hold was taken; the capture is a `transaction.posted` of its own',
  'hold.voided': 'a hold was given up',
  'hold.expired': 'a hold ran out; written down within a minute, or with the next posting of its wallet',
  'wallet.opened': 'a wallet was opened: `data` is the wallet',
  'wallet.changed': 'label, minimum balance, threshold or notes of a wallet were changed',
  'wallet.frozen': 'a wallet was frozen: `data` is the change of status',
  'wallet.unfrozen': 'a wallet was unfrozen',
  'wallet.closed': 'a wallet was closed',
  'wallet.limits_changed': 'the limits of a wallet were set: `data` are the limits',
  'wallet.below_threshold': 'what is available fell under the low-balance threshold; once for each crossing',
  'user.registered': 'a user was registered, or signed up: `data` is the user',
  'user.changed': 'phone number, status or notes of a user were changed',
  'schedule.created': 'a transfer was scheduled: `data` is the schedule',
  'schedule.changed': 'a schedule was paused, resumed or cancelled, or is completed',
  'schedule.refused':
    'an occurrence was refused, for good: `data.last_occurrence.error` says why; the schedule goes on',
  'webhook_endpoint.test': 'somebody tries an endpoint; sent to that one alone',
  'webhook_endpoint.disabled': 'an endpoint is sent nothing more, as it failed for long or said that it is gone',
} as const;

export type EventType = keyof typeof EVENT_TYPES;

export const EVENT_EXAMPLE_ID = '0199a3c2-a0d4-7000-8000-00000002a003';
