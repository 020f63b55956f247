"""The models of the ``logging`` section: logs and writers in ``section``, encoders and their filters in ``encoders``.

What they mean is put into practice by ``quantum.service.logs``.
"""
