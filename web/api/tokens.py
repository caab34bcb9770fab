"""Endpoints for tokens of programs; served only where auth is on."""

from http import HTTPStatus

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import AwareDatetime, Field, ValidationError

from database.credentials import TokenEntry
from web.api.openapi import answer, json_body_of, no_content, operation_name, problems
from web.auth.roles import Scope
from web.auth.tokens import TokenRefused, make_token, revoke_token, visible_tokens
from web.problems import Problem, invalid_parameters
from web.request_limits import MAX_TOKEN_REQUEST_BYTES
from web.responses import json_response
from web.schemas import Described
from web.services import services
from web.uploads.json_bodies import parse_object

api = APIBlueprint(
    "tokens",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="tokens", description="access for programs")],
    operation_id_callback=operation_name,
)


class TokenPath(Described):
    """A token."""

    token_id: str = Field(description="id of the token, which is not the token itself")


class TokenRequest(Described):
    """What the token is for, and what it may do."""

    name: str = Field(min_length=1, max_length=255, description="what uses the token")
    scopes: list[Scope] = Field(min_length=1, description="what it may do; at most what you may do yourself")
    expires_at: AwareDatetime | None = Field(None, description="by default in 90 days")


class TokenDocument(Described):
    """A token; ``token`` itself is there only in the answer to the request that made it."""

    id: str
    name: str
    prefix: str = Field(description="its first characters")
    scopes: list[Scope]
    user: str = Field(description="e-mail address of its user")
    created_at: str
    expires_at: str | None
    last_used_at: str | None = Field(description="to the minute")
    token: str | None = Field(None, description="the token itself, shown only once")


class TokenList(Described):
    """Tokens that are not revoked, newest first."""

    tokens: list[TokenDocument]


@api.get(
    "/tokens",
    summary="List your tokens",
    responses={200: answer(TokenList, "the tokens, without the secret part"), **problems(401, 403, 503)},
)
def list_tokens() -> Response:
    """Expired tokens are listed until they are revoked."""
    return json_response(TokenList(tokens=[_document(entry) for entry in visible_tokens(services().auth)]))


@api.post(
    "/tokens",
    summary="Make a token",
    responses={201: answer(TokenDocument, "the token, shown only this once"), **problems(400, 401, 413, 415, 422, 503)},
    openapi_extensions={"requestBody": json_body_of(TokenRequest)},
)
def create_token() -> Response:
    """Needs a session or a JWT, or a token with the scope ``admin``."""
    wanted = _read_request()
    try:
        token, entry = make_token(services().auth, wanted.name, set(wanted.scopes), wanted.expires_at)
    except TokenRefused as error:
        errors = [{"code": "bad_parameter", "column": error.field, "detail": str(error)}]
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", str(error), errors) from error
    return json_response(_document(entry, token), HTTPStatus.CREATED)


@api.delete(
    "/tokens/<token:token_id>",
    summary="Revoke a token",
    responses={204: no_content("it is revoked, and refused from now on"), **problems(401, 404, 503)},
)
def revoke_token_(path: TokenPath) -> Response:
    """Administrators revoke tokens of others as well."""
    revoke_token(services().auth, path.token_id)
    response = Response(status=HTTPStatus.NO_CONTENT)
    del response.headers["Content-Type"]
    return response


def _read_request() -> TokenRequest:
    if request.mimetype != "application/json":
        detail = f"{request.mimetype!r} is not supported; send application/json"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    request.max_content_length = MAX_TOKEN_REQUEST_BYTES
    try:
        return TokenRequest.model_validate(parse_object(request.get_data(cache=False)))
    except ValidationError as error:
        raise invalid_parameters(error) from error


def _document(entry: TokenEntry, token: str | None = None) -> TokenDocument:
    times = {f"{name}_at": getattr(entry, name) for name in ("created", "expires", "last_used")}
    shown = {
        name: time and time.isoformat(timespec="milliseconds").replace("+00:00", "Z") for name, time in times.items()
    }
    return TokenDocument(
        id=entry.id,
        name=entry.name,
        prefix=entry.prefix,
        scopes=[Scope(scope) for scope in entry.scopes],
        user=entry.email,
        **shown,
        **({"token": token} if token else {}),
    )
