import type { BlockList } from 'node:net';
import type { Principal } from '../caller.js';

/** Whom a credential stands for, as long as it is good. */
export interface Known extends Principal {
  /** The session or API key, by which its end is told. */
  credentialId: string;
  /** Of an API key as it was found. */
  version?: number;
  /** Milliseconds since 1970. */
  goodUntil: number;
  /** Where it may be used from; absent: anywhere. */
  allowed?: BlockList;
  /** 0: no limit. */
  requestsPerMinute: number;
}
