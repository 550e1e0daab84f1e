/**
 * Sends codes behind the answer: whoever asked is answered before anybody looks whether the number is known, so both
 * take equally long.
 */
import { Inject, Injectable, Logger, type BeforeApplicationShutdown, type OnApplicationShutdown } from '@nestjs/common';
import { setImmediate as afterAnswer } from 'node:timers/promises';
import { Problem } from '../errors.js';
import { Metrics } from '../telemetry/metrics.js';
import { UsersService } from '../users/users.service.js';
import { CodeSender, type CodeToSend } from './code-sender.js';
import { maskPhoneNumber } from './mask.js';
import { SendLimits } from './send-limits.js';

/** A gateway that hangs holds each for 18 seconds. */
const UNDER_WAY_MAX = 100;

@Injectable()
export class CodeDispatch implements BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger(CodeDispatch.name);
  private readonly underWay = new Set<Promise<void>>();
  private isStopping = false;

  constructor(
    @Inject(CodeSender) private readonly sender: CodeSender | null,
    private readonly users: UsersService,
    private readonly limits: SendLimits,
    private readonly metrics: Metrics,
  ) {}

  /** @throws {Problem} `sign_in_not_configured`, or `overloaded` while the gateway does not keep up. */
  assertReady(): void {
    if (!this.sender) throw new Problem('sign_in_not_configured', 'The service sends no one-time codes.');
    if (this.underWay.size < UNDER_WAY_MAX) return;
    throw new Problem('overloaded', 'Codes are asked for faster than they can be sent.', { retryAfterSeconds: 5 });
  }

  /** Sends a code when the answer has left; never throws. */
  begin(code: CodeToSend): void {
    const sending = this.send(code)
      .catch((error: Error) => {
        this.metrics.codes.inc({ outcome: 'failed' });
        this.logger.error(`the code for ${maskPhoneNumber(code.phoneNumber)} was not sent: ${error.message}`);
      })
      .finally(() => this.underWay.delete(sending));
    this.underWay.add(sending);
  }

  beforeApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    return this.settle();
  }

  /** What the last requests began. */
  onApplicationShutdown(): Promise<void> {
    return this.settle();
  }

  private async send(code: CodeToSend): Promise<void> {
    await afterAnswer();
    if (!(await this.users.maySignIn(code.phoneNumber))) return;
    await this.limits.countSent();
    await this.sender!.send(code, () => this.isStopping);
    this.metrics.codes.inc({ outcome: 'sent' });
  }

  private async settle(): Promise<void> {
    await Promise.all(this.underWay);
  }
}
