/** How one-time codes reach a phone. */
import type { Config } from '../config.js';
import { maskPhoneNumber } from './mask.js';
import { WebhookCodeSender } from './code-webhook.js';

export interface CodeToSend {
  /** The same for every attempt at one code. */
  id: string;
  /** E.164. */
  phoneNumber: string;
  code: string;
  expiresAt: Date;
}

/** Also the injection token; null where CODE_SENDER is `none`. */
export abstract class CodeSender {
  /**
   * Resolves when somebody else has taken the code.
   * @param isStopping whether the service is being stopped, and nothing should be tried again.
   */
  abstract send(code: CodeToSend, isStopping: () => boolean): Promise<void>;
}

/** Prints codes, for development; refused in production. */
export class ConsoleCodeSender implements CodeSender {
  send({ phoneNumber, code }: CodeToSend): Promise<void> {
    // Whatever LOG_LEVEL is: without it nobody could sign in.
    console.log(`one-time code for ${maskPhoneNumber(phoneNumber)}: ${code}`);
    return Promise.resolve();
  }
}

/** The sender that the configuration asks for. */
export function codeSenderOf(config: Config): CodeSender | null {
  if (config.codeSender === 'webhook') return new WebhookCodeSender(config.codeWebhookUrl, config.codeWebhookSecret!);
  return config.codeSender === 'console' ? new ConsoleCodeSender() : null;
}
