import { Body, Controller, Get, Param, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/access.js';
import { answer, withETag, type Reply } from '../answer.js';
import { CurrentCaller, type Caller } from '../caller.js';
import { ApiErrors, ApiIfMatch, ApiPage, ApiWrite } from '../openapi.js';
import { ChangeUserDto, ListUsersQuery, RegisterUserDto, UserBody, userBody, UserIdParam } from './users.dto.js';
import { UsersService } from './users.service.js';

@ApiTags('Users')
@Controller('v1/users')
export class UsersController {
  constructor(private readonly users: UsersService) {}

  @Post()
  @Needs('users:write')
  @ApiOperation({ summary: 'Register a user by phone number' })
  @ApiCreatedResponse({ type: UserBody })
  @ApiWrite('phone_number_taken')
  async register(
    @Body() dto: RegisterUserDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return answer(reply, await this.users.register(dto, caller));
  }

  @Get()
  @Needs('users:read')
  @ApiOperation({ summary: 'List users, or find one by phone number' })
  @ApiPage(UserBody)
  @ApiErrors('validation_failed', 'database_unavailable')
  list(@Query() query: ListUsersQuery) {
    return this.users.list(query);
  }

  @Get(':user_id')
  @Needs('users:read', 'user_id')
  @ApiOperation({ summary: 'Read a user' })
  @ApiOkResponse({ type: UserBody })
  @ApiErrors('validation_failed', 'user_not_found', 'database_unavailable')
  async read(@Param() { user_id }: UserIdParam, @Res({ passthrough: true }) reply: Reply) {
    return withETag(reply, userBody(await this.users.read(user_id)));
  }

  @Patch(':user_id')
  @Needs('users:write')
  @ApiOperation({ summary: 'Change phone number, status or metadata of a user; the status is for operators' })
  @ApiOkResponse({ type: UserBody })
  @ApiIfMatch()
  @ApiErrors(
    'bad_request',
    'validation_failed',
    'user_not_found',
    'precondition_failed',
    'phone_number_taken',
    'database_unavailable',
  )
  async change(
    @Param() { user_id }: UserIdParam,
    @Body() dto: ChangeUserDto,
    @CurrentCaller() caller: Caller,
    @Res({ passthrough: true }) reply: Reply,
  ) {
    return withETag(reply, userBody(await this.users.change(user_id, dto, caller)));
  }
}
