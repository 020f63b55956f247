"""Write the token of the bus into the shared volume, unless it is there: for NATS and for the rooms."""

import os
import secrets
from pathlib import Path

FOLDER = Path("/secrets")
ROOMS_GROUP = 10001

token_file = FOLDER / "nats.token"
if not token_file.exists():
    token = secrets.token_urlsafe(32)
    (FOLDER / "nats-auth.conf").write_text(f'authorization {{ token: "{token}" }}\n')
    fresh = FOLDER / "nats.token.new"
    fresh.write_text(token)
    os.chown(fresh, 0, ROOMS_GROUP)
    fresh.chmod(0o440)
    fresh.rename(token_file)
    (FOLDER / "nats-auth.conf").chmod(0o400)
    FOLDER.chmod(0o755)
