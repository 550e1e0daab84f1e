import { Body, Controller, Delete, Get, Header, Headers, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiHeader, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { answer, type Reply } from '../answer.js';
import { CurrentCaller, type Caller } from '../caller.js';
import type { ErrorCode } from '../errors.js';
import { ApiErrors, ApiPage, ApiWrite } from '../openapi.js';
import { PageQuery } from '../paging.js';
import { ReasonDto } from '../transactions/wallet-states.dto.js';
import { UserIdParam } from '../users/users.dto.js';
import { Needs, Person, Public } from './access.js';
import { Awaited, type IsAwaited } from './awaited.js';
import { SessionBody, SessionIdParam, SessionsEndedBody } from './sessions.dto.js';
import { SessionsService } from './sessions.service.js';
import { AskForCodeDto, CodeBody, KeySetBody, RefreshDto, SignInDto, TokensBody } from './sign-in.dto.js';
import { SignInService } from './sign-in.service.js';
import { KEY_SET_SECONDS, SigningKeys } from './signing-keys.js';

/** What is answered here is for one caller, once. */
const NoStore = () => Header('Cache-Control', 'no-store');
/** The errors of a public POST with a body. */
const ApiSignIn = (...codes: ErrorCode[]) =>
  ApiErrors(
    ...(['bad_request', 'body_too_large', 'unsupported_media_type', 'validation_failed', 'rate_limited'] as const),
    ...codes,
    ...(['database_unavailable', 'outcome_unknown'] as const),
  );

@ApiTags('Sign-in')
@Controller()
export class AuthController {
  constructor(
    private readonly signIn: SignInService,
    private readonly sessions: SessionsService,
    private readonly keys: SigningKeys,
  ) {}

  @Post('v1/auth/codes')
  @Public()
  @NoStore()
  @ApiOperation({ summary: 'Have a one-time code sent to a phone; known and unknown numbers are answered alike' })
  @ApiCreatedResponse({ type: CodeBody })
  @ApiSignIn('sign_in_not_configured', 'overloaded')
  askForCode(
    @Body() dto: AskForCodeDto,
    @CurrentCaller() caller: Caller,
    @Awaited() isAwaited: IsAwaited,
  ): Promise<CodeBody> {
    return this.signIn.askForCode(dto.phone_number, caller, isAwaited);
  }

  @Post('v1/auth/tokens')
  @Public()
  @NoStore()
  @ApiOperation({ summary: 'Sign in: trade a one-time code for tokens' })
  @ApiCreatedResponse({ type: TokensBody })
  @ApiHeader({ name: 'user-agent', required: false, description: 'Shown in the list of sessions.' })
  @ApiSignIn('code_refused')
  begin(
    @Body() dto: SignInDto,
    @CurrentCaller() caller: Caller,
    @Awaited() isAwaited: IsAwaited,
    @Headers('user-agent') userAgent?: string,
  ): Promise<TokensBody> {
    return this.signIn.signIn(dto, caller, isAwaited, userAgent);
  }

  @Post('v1/auth/tokens/refresh')
  @Public()
  @NoStore()
  @ApiOperation({ summary: 'Renew a session: trade a refresh token for new tokens' })
  @ApiCreatedResponse({ type: TokensBody })
  @ApiSignIn('refresh_token_refused')
  refresh(
    @Body() dto: RefreshDto,
    @CurrentCaller() caller: Caller,
    @Awaited() isAwaited: IsAwaited,
  ): Promise<TokensBody> {
    return this.signIn.refresh(dto.refresh_token, caller, isAwaited);
  }

  @Post('v1/auth/logout')
  @HttpCode(200)
  @Person()
  @NoStore()
  @ApiOperation({ summary: 'End this session' })
  @ApiOkResponse({ type: SessionsEndedBody })
  @ApiErrors('validation_failed', 'session_not_found', 'database_unavailable', 'outcome_unknown')
  logout(@CurrentCaller() caller: Caller): Promise<SessionsEndedBody> {
    return this.sessions.end(caller, caller.sessionId!);
  }

  @Post('v1/auth/logout-everywhere')
  @HttpCode(200)
  @Person()
  @NoStore()
  @ApiOperation({ summary: 'End all sessions of the person, on every device' })
  @ApiOkResponse({ type: SessionsEndedBody })
  @ApiErrors('validation_failed', 'database_unavailable', 'outcome_unknown')
  logoutEverywhere(@CurrentCaller() caller: Caller): Promise<SessionsEndedBody> {
    return this.sessions.endEverywhere(caller);
  }

  @Get('v1/auth/sessions')
  @Person()
  @NoStore()
  @ApiOperation({ summary: 'List the sessions of the person' })
  @ApiPage(SessionBody)
  @ApiErrors('validation_failed', 'database_unavailable')
  list(@Query() query: PageQuery, @CurrentCaller() caller: Caller) {
    return this.sessions.list(caller, query);
  }

  @Delete('v1/auth/sessions/:session_id')
  @Person()
  @NoStore()
  @ApiOperation({ summary: 'End a session of the person' })
  @ApiOkResponse({ type: SessionsEndedBody })
  @ApiErrors('validation_failed', 'session_not_found', 'database_unavailable', 'outcome_unknown')
  end(@Param() { session_id }: SessionIdParam, @CurrentCaller() caller: Caller): Promise<SessionsEndedBody> {
    return this.sessions.end(caller, session_id);
  }

  @Post('v1/users/:user_id/sessions/end')
  @Needs('users:admin')
  @NoStore()
  @ApiOperation({ summary: 'End all sessions of a user' })
  @ApiCreatedResponse({ type: SessionsEndedBody })
  @ApiWrite('user_not_found')
  async endOfUser(
    @Param() { user_id }: UserIdParam,
    @Body() { reason }: ReasonDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.sessions.endByOperator(user_id, reason, caller));
  }

  @Get('.well-known/jwks.json')
  @Public()
  @Header('Cache-Control', `public, max-age=${KEY_SET_SECONDS}`)
  @ApiOperation({ summary: 'The public keys that access tokens are verified with, as a JWKS' })
  @ApiOkResponse({ type: KeySetBody })
  @ApiErrors('sign_in_not_configured', 'database_unavailable')
  async keySet(): Promise<KeySetBody> {
    return { keys: await this.keys.publicKeys() };
  }
}
