"""A small OpenID Connect provider, made of Authlib's server parts: ``python -m tests.web.auth.provider PORT KEYS``.

Whoever comes is the user in ``POST /user``; there is nothing to click. KEYS is a file with the private keys as a JWK
set, the first of which signs; it is read anew for each answer, so that keys can be changed.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, Response, jsonify, request
from joserfc.jwk import KeySet

CLIENT_ID, CLIENT_SECRET = "scoreline", "the client's secret"
PORT, KEYS = int(sys.argv[1]), Path(sys.argv[2])
ISSUER = f"http://127.0.0.1:{PORT}"

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # on loopback
app = Flask("provider")
state: dict[str, Any] = {"user": {}, "codes": {}, "tokens": {}, "spoilt": {}}


def keys() -> KeySet:
    return KeySet.import_key_set(json.loads(KEYS.read_text()))


class Client(ClientMixin):  # type: ignore[misc]
    """The only client, which is Scoreline."""

    client_id = CLIENT_ID

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_default_redirect_uri(self) -> str:
        return ""

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.endswith("/signin/provider/back")

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        del endpoint
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    """An authorization code and what it was given for."""

    def __init__(self, code: str, asked: Any, user: dict[str, Any]) -> None:
        data = asked.payload.data
        self.code, self.user, self.redirect_uri, self.scope = code, user, data["redirect_uri"], data["scope"]
        self.nonce, self.code_challenge = data.get("nonce"), data.get("code_challenge")
        self.code_challenge_method = data.get("code_challenge_method")

    def get_redirect_uri(self) -> str:
        return str(self.redirect_uri)

    def get_scope(self) -> str:
        return str(self.scope)

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    """Codes are kept in memory and work once."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

    def save_authorization_code(self, code: str, request: Any) -> None:
        state["codes"][code] = Code(code, request, request.user)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        del client
        found: Code | None = state["codes"].get(code)
        return found

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del state["codes"][authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> dict[str, Any]:
        return authorization_code.user


class IdToken(OpenIDCode):  # type: ignore[misc]
    """ID tokens, signed with the first key."""

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        del nonce, request
        return False

    def get_jwt_config(self, grant: Any) -> dict[str, Any]:
        del grant
        key = keys().keys[0]
        return {"key": key, "alg": "RS256", "iss": ISSUER, "exp": 300, "kid": key.kid}

    def get_client_algorithm(self, client: Client) -> str:
        del client
        return "RS256"

    def resolve_client_private_key(self, client: Client) -> Any:
        del client
        return keys().keys[0]

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        del client
        now = int(time.time())
        return {"iss": ISSUER, "aud": [CLIENT_ID], "iat": now, "exp": now + 300} | state["spoilt"]

    def generate_user_info(self, user: dict[str, Any], scope: str) -> UserInfo:
        del scope
        return UserInfo({name: value for name, value in user.items() if name != "groups" or "in_id_token" not in user})


def save_token(token: dict[str, Any], request_: Any) -> None:
    state["tokens"][token["access_token"]] = request_.user


server = AuthorizationServer(app, query_client=lambda client_id: Client() if client_id == CLIENT_ID else None,
                             save_token=save_token)  # fmt: skip
server.register_grant(CodeGrant, [IdToken(require_nonce=True), CodeChallenge(required=True)])


@app.get("/.well-known/openid-configuration")
def metadata() -> Response:
    return jsonify(
        issuer=ISSUER,
        authorization_endpoint=f"{ISSUER}/authorize",
        token_endpoint=f"{ISSUER}/token",
        userinfo_endpoint=f"{ISSUER}/userinfo",
        jwks_uri=f"{ISSUER}/keys",
        response_types_supported=["code"],
        id_token_signing_alg_values_supported=["RS256"],
    )


@app.get("/keys")
def public_keys() -> Response:
    state["fetched"] = state.get("fetched", 0) + 1
    return jsonify(keys().as_dict(private=False))


@app.get("/fetched")
def fetched() -> Response:
    return jsonify(state.get("fetched", 0))


@app.post("/user")
def set_user() -> Response:
    state["user"], state["spoilt"] = request.get_json()
    return jsonify({})


@app.get("/authorize")
def authorize() -> Any:
    user = state["user"]
    grant = server.get_consent_grant(end_user=user)
    return server.create_authorization_response(grant_user=user or None, grant=grant)


@app.post("/token")
def issue_token() -> Any:
    return server.create_token_response()


@app.get("/userinfo")
def user_info() -> Response:
    return jsonify(state["tokens"][request.headers["Authorization"].removeprefix("Bearer ")])


if __name__ == "__main__":
    app.run("127.0.0.1", PORT, threaded=True)
