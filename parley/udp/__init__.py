"""Files by QUIC, what server and client share: the settings of both sides, and datagrams."""
