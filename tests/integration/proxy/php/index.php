<?php
// A front controller in the manner of WordPress: everything that is no file comes here.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
switch ($_SERVER['PATH_INFO'] ?: basename($path)) {
    case '/big':
        $piece = str_repeat('0123456789abcdef', 4096);
        for ($n = 0; $n < 64; $n++) { echo $piece; }
        break;
    case '/slow':
        echo 'first';
        while (ob_get_level()) { ob_end_flush(); }
        flush();
        usleep(1600000);
        echo 'second';
        break;
    case '/redirect':
        header('Location: /elsewhere');
        break;
    case '/teapot':
        http_response_code(418);
        echo 'short and stout';
        break;
    case '/empty':
        http_response_code(204);
        break;
    case '/cookies':
        setcookie('a', '1');
        setcookie('b', '2', 0, '/', '', false, true);
        echo json_encode($_COOKIE);
        break;
    case '/stderr':
        fwrite(fopen('php://stderr', 'w'), "worse than expected\n");
        error_log('told on stderr');
        echo 'said';
        break;
    case '/upload':
        $told = [];
        foreach ($_FILES as $name => $file) {
            $told[$name] = [$file['name'], $file['size'], sha1_file($file['tmp_name'])];
        }
        echo json_encode(['files' => $told, 'post' => $_POST]);
        break;
    case '/input':
        $body = file_get_contents('php://input');
        echo json_encode([strlen($body), sha1($body)]);
        break;
    case '/die':
        echo str_repeat('x', 100000);
        flush();
        posix_kill(getmypid(), 9);
        break;
    case '/hang':
        sleep(5);
        break;
    case '/pid':
        echo getmypid();
        break;
    default:
        header('X-Powered-By: tests');
        header('Content-Type: application/json');
        echo json_encode(['server' => $_SERVER, 'get' => $_GET, 'post' => $_POST]);
}
