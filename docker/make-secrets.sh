#!/bin/sh
# Writes the secrets of docker-compose.yml into a folder (default: secrets), each once: a second run keeps them.
set -eu
folder=${1:-secrets}

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
write() { [ -s "$folder/$1" ] || printf %s "$2" > "$folder/$1"; }

# Containers run under other users and must read the files, so the folder is what keeps other people out.
umask 022
mkdir -p "$folder"
chmod 700 "$folder"
write postgres_password "$(random)"
write gtn_nas_database_url "postgresql+psycopg://gtn_nas:$(cat "$folder/postgres_password")@postgres:5432/gtn_nas"
write gtn_nas_api_key "$(random)"
write ray_token "$(random)"
