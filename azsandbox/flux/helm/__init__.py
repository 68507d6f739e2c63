"""helm-controller: releases of charts."""
